"""What methods share that look for their hole step by step."""
