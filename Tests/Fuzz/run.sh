#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fuzzes Portreeve with libFuzzer and the address sanitizer.
#
#   Tests/Fuzz/run.sh [-t SECONDS] [-s] [TARGET...]
#
#   -t SECONDS  time for each target (60)
#   -s          write the seed corpus of each target anew instead of fuzzing
#   TARGET      folders beside this script; all of them when none is named
#
# A target is a folder with
#   modules     source folders that it needs, one a line, in the order of their dependencies; a folder with a
#               module.modulemap is a system library, one with C files is compiled with clang
#               (files that import NIO, or use what does, are left out: sockets are not fuzzed)
#   Fuzz.swift  the function LLVMFuzzerTestOneInput; other files beside it are compiled with it. Or Fuzz.c
#   Seeds.swift (optional) a program that writes the seeds into the folder that its argument names
#
# Seeds are in corpus/TARGET. What fuzzing finds new stays in the build folder (PORTREEVE_FUZZ_BUILD, .build/fuzz); an
# input that fails is left in its failures/TARGET and ends the run with a status that is not 0.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${PORTREEVE_FUZZ_BUILD:-$root/.build/fuzz}
seconds=60
seeding=no

while getopts t:s option; do
    case $option in
    t) seconds=$OPTARG ;;
    s) seeding=yes ;;
    *) sed -n '4,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || set -- $(cd "$here" && for file in */modules; do dirname "$file"; done)

swift_flags="-swift-version 6 -package-name portreeve -O -g -wmo -parse-as-library -suppress-warnings
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature InternalImportsByDefault"

# swiftc in a folder, where it leaves its by-products.
compile() { # folder argument...
    folder=$1
    shift
    # shellcheck disable=SC2086
    (cd "$folder" && swiftc $swift_flags "$@")
}

# Compiles the modules of a target with some sanitizer flags into a folder; leaves include flags and objects there.
compile_modules() { # target folder sanitizer
    mkdir -p "$2"
    includes="-I $2"
    objects=
    libraries=
    while read -r module; do
        [ -n "$module" ] || continue
        source=$root/$module
        name=$(basename "$module")
        if [ -f "$source/module.modulemap" ]; then
            includes="$includes -I $source"
            for library in $(sed -n 's/^ *link "\(.*\)"$/\1/p' "$source/module.modulemap"); do
                libraries="$libraries -l$library"
            done
        elif [ -n "$(find "$source" -maxdepth 1 -name '*.c')" ]; then
            for file in "$source"/*.c; do
                object=$2/$name-$(basename "$file").o
                clang -O1 -g $(echo "$3" | sed s/^-sanitize/-fsanitize/) -I "$source/include" -c "$file" -o "$object"
                objects="$objects $object"
            done
            includes="$includes -I $source/include"
            if [ ! -f "$source/include/module.modulemap" ]; then
                # The build of the package makes the same of such a folder.
                mkdir -p "$2/$name"
                echo "module $name { umbrella \"$source/include\" export * }" >"$2/$name/module.modulemap"
                includes="$includes -I $2/$name"
            fi
        else
            # shellcheck disable=SC2086
            compile "$2" $3 $includes -module-name "$name" -emit-module \
                -emit-module-path "$2/$name.swiftmodule" -emit-object -o "$2/$name.o" \
                $(grep -LE '^(package |public )?import NIO|ControlClient\(|SystemError' $(find "$source" -name '*.swift' | sort))
            objects="$objects $2/$name.o"
        fi
    done <"$here/$1/modules"
    objects="$objects $libraries"
}

write_seeds() { # target
    [ -f "$here/$1/Seeds.swift" ] || return 0
    out=$build/$1-seeds
    compile_modules "$1" "$out" ""
    # shellcheck disable=SC2046,SC2086
    compile "$out" $includes -o "$out/seeds" \
        $(find "$here/$1" -name '*.swift' ! -name Fuzz.swift | sort) $objects
    mkdir -p "$here/corpus/$1"
    "$out/seeds" "$here/corpus/$1"
}

fuzz() { # target
    out=$build/$1
    compile_modules "$1" "$out" "-sanitize=fuzzer,address"
    # shellcheck disable=SC2046,SC2086
    if [ -f "$here/$1/Fuzz.c" ]; then
        clang -O1 -g -fsanitize=fuzzer,address $includes -o "$out/fuzz" "$here/$1/Fuzz.c" $objects \
            $(pkg-config --libs libnetfilter_queue) -lmnl
    else
        compile "$out" -sanitize=fuzzer,address $includes -o "$out/fuzz" \
            $(find "$here/$1" -name '*.swift' ! -name Seeds.swift | sort) $objects
    fi
    mkdir -p "$build/found/$1" "$build/failures/$1" "$here/corpus/$1"
    echo "$1: $seconds s"
    # Swift's own crash report would hide libFuzzer's.
    SWIFT_BACKTRACE=enable=no "$out/fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$build/failures/$1/" "$build/found/$1" "$here/corpus/$1"
}

for target in "$@"; do
    [ -f "$here/$target/modules" ] || { echo "$0: no fuzz target $target in $here" >&2; exit 2; }
    if [ "$seeding" = yes ]; then write_seeds "$target"; else fuzz "$target"; fi
done
