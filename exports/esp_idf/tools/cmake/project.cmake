# SPDX-License-Identifier: Apache-2.0
# Stands for ESP-IDF where there is none: the one function of its build system that a component calls,
# as its documentation has it, for a program of this computer. COMPONENT is the component's directory.
macro(project name)
  _project(${name} C)
  file(WRITE "${CMAKE_BINARY_DIR}/start.c"
    "void app_main(void);\nint main(void) {\n    app_main();\n    return 0;\n}\n")
  add_executable(app "${CMAKE_BINARY_DIR}/start.c")
  add_subdirectory(main)
  target_link_libraries(app PRIVATE part_main)
  add_subdirectory("${COMPONENT}" component)
  get_filename_component(part "${COMPONENT}" NAME)
  target_link_libraries(part_main PRIVATE part_${part})
endmacro()

# Each component is a static library, as there.
function(idf_component_register)
  cmake_parse_arguments(PARSE_ARGV 0 part "" "" "SRCS;INCLUDE_DIRS")
  if(part_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "idf_component_register: ${part_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(name "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  add_library(part_${name} STATIC ${part_SRCS})
  target_include_directories(part_${name} PUBLIC ${part_INCLUDE_DIRS})
endfunction()
