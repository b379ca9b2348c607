"""The U-Net base: a native SD1.x checkpoint in miniature, beside the SD3 one of `base`."""
