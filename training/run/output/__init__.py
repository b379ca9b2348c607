"""What a run leaves on the disk, and what it does about what another run left there."""
