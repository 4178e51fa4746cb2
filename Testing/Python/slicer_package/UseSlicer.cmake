macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(_module "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(_module_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown arguments: ${_module_UNPARSED_ARGUMENTS}")
  endif()
  set(_subdirectory "")
  if(_module_WITH_SUBDIR)
    get_filename_component(_subdirectory ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  endif()
  foreach(_file IN LISTS _module_SCRIPTS _module_RESOURCES)
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${_file})
      message(FATAL_ERROR "${_module_NAME} lists ${_file}, which does not exist")
    endif()
    get_filename_component(_folder ${_file} DIRECTORY)
    install(
      FILES ${_file}
      DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${_subdirectory}/${_folder}
      COMPONENT Runtime
      )
  endforeach()
endmacro()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(_unittest "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${_unittest_SCRIPT})
    message(FATAL_ERROR "no test script ${_unittest_SCRIPT}")
  endif()
endmacro()
