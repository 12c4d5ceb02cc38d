# SPDX-License-Identifier: Apache-2.0
# Stands for Zephyr's package where there is no Zephyr: the few of its functions that a module calls,
# as its documentation has them, for a program of this computer. CONFIG_FILE is the .config.
file(STRINGS "${CONFIG_FILE}" lines REGEX "^CONFIG_[A-Z0-9_]+=y$")
foreach(line IN LISTS lines)
  string(REPLACE "=y" "" symbol "${line}")
  set(${symbol} y)
endforeach()
enable_language(C)
add_executable(app)

macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  target_link_libraries(app PRIVATE ${name})
endmacro()

function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()

function(zephyr_library_sources_ifdef feature)
  if(${feature})
    zephyr_library_sources(${ARGN})
  endif()
endfunction()

function(zephyr_include_directories)
  foreach(directory IN LISTS ARGN)
    get_filename_component(directory "${directory}" ABSOLUTE)
    target_include_directories(app PUBLIC "${directory}")
    target_include_directories(${ZEPHYR_CURRENT_LIBRARY} PRIVATE "${directory}")
  endforeach()
endfunction()

foreach(module IN LISTS EXTRA_ZEPHYR_MODULES)
  get_filename_component(name "${module}" ABSOLUTE)
  add_subdirectory("${name}/zephyr" modules)
endforeach()
