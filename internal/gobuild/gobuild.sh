#!/bin/sh
# Builds programs and, if that is not over at once, says on standard error how far it is:
#
#	gobuild.sh OUTPUT PACKAGE...
#
# What the build itself says is passed on, and its exit code is the script's. Needs nothing but a shell and Go.
set -u

# many is how many packages are compiled before it begins to tell; after a change of ours it is fewer. What is not a
# terminal is told each every packages.
many=40
every=100

# tell reads what `go build -v` says: the path of each package when it is compiled, and whatever is wrong.
tell() { # PACKAGE...
	compiled=0
	total=
	while IFS= read -r line; do
		case $line in
		"" | *[[:space:]]*)
			[ -z "$shown" ] || printf '\r\033[K' >&2
			shown=
			printf '%s\n' "$line" >&2
			continue
			;;
		esac
		compiled=$((compiled + 1))
		if [ "$compiled" -eq "$many" ]; then
			printf '%s\n' "Building. On two cores the first time takes about nine minutes; later times take seconds." >&2
			# What is compiled is asked for only now, since an answer takes longer than a build that has nothing to do.
			# shellcheck disable=SC2046 # one word for each package
			set -- $(go list -deps -f '{{if .Stale}}{{.ImportPath}}{{end}}' "$@" 2>/dev/null)
			[ "$#" -eq 0 ] || total=$((compiled + $#))
		fi
		[ "$compiled" -ge "$many" ] || continue
		[ -z "$total" ] || [ "$compiled" -le "$total" ] || total=$compiled
		if [ -t 2 ]; then
			printf '\rCompiling %s%s packages \033[K' "$compiled" "${total:+ of $total}" >&2
			shown=yes
		elif [ $((compiled % every)) -eq 0 ]; then
			printf 'Compiling %s%s packages\n' "$compiled" "${total:+ of $total}" >&2
		fi
	done
	[ -z "$shown" ] || printf '\n' >&2
}

output=$1 shown=
shift
code=$({ { go build -v -o "$output" "$@" 2>&1; echo "$?" >&3; } | tell "$@" >/dev/null; } 3>&1)
exit "${code:-1}" # without a code it was interrupted
