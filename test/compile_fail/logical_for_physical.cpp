// A logical block number is no physical one.
// expect: logical_block
#include "parts.hpp"

ashlar::extent run{ashlar::logical_block{7}, ashlar::block_count{1}};
