#pragma once
/// Empties any range of an open volume's blocks: whatever lies in it moves elsewhere while it is in use.

#include <ashlar/maintenance/evacuator_interface.hpp>
#include <ashlar/maintenance/evacuator_moves.hpp>
#include <ashlar/maintenance/evacuator_pass.hpp>
#include <ashlar/maintenance/evacuator_plan.hpp>
#include <ashlar/maintenance/evacuator_table.hpp>
