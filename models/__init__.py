"""The networks: classifiers, inpainters, and the drawn scenes that they can be trained on."""
