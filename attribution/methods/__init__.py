"""The methods of attribution, one a file."""
