"""What warm.py imports; a function of ours that is loaded and no more."""
handler = None
