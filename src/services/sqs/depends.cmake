# Nearly all of it is on the way of data, all but what is named.
set(hot ALL ops_access ops_move)
