"""What warm.py imports."""
