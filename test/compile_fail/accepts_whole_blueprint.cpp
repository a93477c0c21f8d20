// The counterpart of all refusals: the blueprint that they break passes.
#include "parts.hpp"

ashlar::store<whole> store;
