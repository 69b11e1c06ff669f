set(extra service_iam)  # roles and the minting of credentials
set(hot ALL)
