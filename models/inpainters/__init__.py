"""Inpainting networks: `(image, hole) -> image`, the hole 1 where pixels are removed."""
