"""Which compiler PlatformIO calls, and how a program for the simulated chip is linked."""

from pathlib import Path

from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
if env["PIOENV"] == "m3":
    sim = Path(env.GetProjectOption("custom_sim_core"))
    core = str(sim / "cores" / "sim")
    script = str(sim / "variants" / "sim" / "chip.ld")
    flags = ["-mcpu=cortex-m3", "-mthumb", "-ffunction-sections", "-fdata-sections"]
    env.Replace(CC="arm-none-eabi-gcc", CXX="arm-none-eabi-g++", AR="arm-none-eabi-ar")
    env.Replace(RANLIB="arm-none-eabi-ranlib", LINK="arm-none-eabi-gcc", PROGSUFFIX=".elf")
    env.Append(
        CCFLAGS=flags,
        CXXFLAGS=["-std=gnu++11", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"],
        CPPDEFINES=["SIMULATED"],
        CPPPATH=[core],
        LINKFLAGS=[*flags, "-nostartfiles", "-Wl,--gc-sections", "-T", script],
    )
    env.Append(LINKFLAGS=["--specs=nano.specs"])
    env.BuildSources("$BUILD_DIR/core", core, "+<start.c>")
AlwaysBuild(env.Alias("buildprog", env.BuildProgram()))
Default("buildprog")
