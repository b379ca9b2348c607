"""Ways to lead the sampling beside ordinary guidance."""
