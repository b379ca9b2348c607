"""What the method is worth beside others: every rival on the same prompts and seeds."""
