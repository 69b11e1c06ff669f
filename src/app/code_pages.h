// Where the program's own code lies in memory once it is ready.
#pragma once

namespace virga::app {

// Gives back the memory of code and constants that only the start needed. They are read from the binary again, by the
// page, as they are used.
void release_start_up_pages();

// Moves the code that requests run through (cmake/hot_functions.txt) to pages of 2 MB, where it keeps its addresses.
// Code that runs after a pause is nowhere in the processor's caches, and of 4 KB pages not even where they are in
// memory: to look that up, hundreds of times, is a tenth of what such a call takes. Threads run on in it meanwhile. All
// stays as it is where the machine has no such pages, or lets no memory run that isn't a file's.
void gather_hot_code();

}  // namespace virga::app
