"""What makes the base model: its VAE, its text encoder, its training, its checkpoint."""
