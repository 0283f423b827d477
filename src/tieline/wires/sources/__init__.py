"""What operators publish: their file formats, read into columns of readings; pure, from bytes to values."""
