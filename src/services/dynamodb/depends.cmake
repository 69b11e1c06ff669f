# Nearly all of it is on the way of data.
set(hot ALL)
