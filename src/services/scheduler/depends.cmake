# What calls and events pass through.
set(hot fire store)
