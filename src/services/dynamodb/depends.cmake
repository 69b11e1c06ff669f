# Nearly all of it is on the way of data, all but what is named.
set(hot ALL jobs ops_backup ops_export ops_import ops_insights ops_policy ops_settings ops_transfer)
