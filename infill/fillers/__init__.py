"""What is put into a hole: colors, blur, classical and learned inpainting."""
