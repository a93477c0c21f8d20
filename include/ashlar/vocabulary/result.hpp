#pragma once
/// A value or an error. One type in every build, with or without exceptions.

#include <ashlar/config.hpp>
#include <ashlar/vocabulary/error.hpp>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>

namespace ashlar::inline v0 {

namespace outcome = BOOST_OUTCOME_V2_NAMESPACE;
using outcome::failure;
using outcome::success;

/// A `T`, or why there is none. Reading the wrong side ends the program.
template <class T = void>
using result = outcome::basic_result<T, error, outcome::policy::terminate>;

}  // namespace ashlar::inline v0
