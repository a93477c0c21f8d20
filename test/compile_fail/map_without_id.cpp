// A map that says nothing of its nodes cannot be planned for.
// expect: NamesObjectMap
#include "parts.hpp"

struct map_without_name {
    static constexpr bool has_tree = false;
};
struct log_store : whole {
    using object_map = map_without_name;
};
ashlar::store<log_store> store;
