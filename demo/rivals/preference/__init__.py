"""Tokens trained by preference (objective dpo) on the demo world, on pictures the base painted."""
