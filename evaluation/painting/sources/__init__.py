"""What pictures are made of: files by their hashes, settings, versions."""
