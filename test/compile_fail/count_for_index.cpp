// A count of blocks is no place.
// expect: block_index
#include "parts.hpp"

ashlar::block_index place = ashlar::block_count{7};
