"""The ComfyUI that development runs against. Left out of a registry release."""
