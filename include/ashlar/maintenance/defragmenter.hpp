#pragma once
/// Puts scattered objects together and joins free space, in bounded steps that somebody else drives.

#include <ashlar/maintenance/defragmenter_interface.hpp>
#include <ashlar/maintenance/defragmenter_moves.hpp>
#include <ashlar/maintenance/defragmenter_pass.hpp>
#include <ashlar/maintenance/defragmenter_report.hpp>
