# What calls and events pass through.
set(hot proxy_event routing serve store)
