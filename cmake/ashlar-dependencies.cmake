# The headers that ashlar includes: Boost.Outcome, range-v3 and xxHash, all header-only. Used by our own build and by
# the installed package. Defines ashlar::dependencies, or lists what is missing in ashlar_missing_headers.

find_path(ASHLAR_BOOST_FOLDER boost/outcome/basic_result.hpp DOC "Folder that holds boost/outcome/basic_result.hpp")
find_path(ASHLAR_RANGE_FOLDER range/v3/version.hpp DOC "Folder that holds range/v3/version.hpp")
find_path(ASHLAR_XXHASH_FOLDER xxhash.h DOC "Folder that holds xxhash.h")
mark_as_advanced(ASHLAR_BOOST_FOLDER ASHLAR_RANGE_FOLDER ASHLAR_XXHASH_FOLDER)

set(ashlar_missing_headers "")
if(NOT ASHLAR_BOOST_FOLDER)
    string(APPEND ashlar_missing_headers " boost/outcome/basic_result.hpp (Boost 1.74 or newer)")
endif()
if(NOT ASHLAR_RANGE_FOLDER)
    string(APPEND ashlar_missing_headers " range/v3/version.hpp (range-v3)")
endif()
if(NOT ASHLAR_XXHASH_FOLDER)
    string(APPEND ashlar_missing_headers " xxhash.h (xxHash)")
endif()

if(ashlar_missing_headers STREQUAL "" AND NOT TARGET ashlar::dependencies)
    add_library(ashlar::dependencies INTERFACE IMPORTED GLOBAL)
    # System folders: range-v3 does not compile without warnings everywhere, and clang refuses it without exceptions.
    target_include_directories(ashlar::dependencies SYSTEM INTERFACE
                               ${ASHLAR_BOOST_FOLDER} ${ASHLAR_RANGE_FOLDER} ${ASHLAR_XXHASH_FOLDER})
endif()
