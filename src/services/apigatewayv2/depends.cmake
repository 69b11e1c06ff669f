# What calls and events pass through.
set(hot routing serve store)
