"""What happens inside a block, whatever the architecture: tokens put in, and how far they act."""
