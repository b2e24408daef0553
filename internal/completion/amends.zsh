#compdef amends
# Completes command lines of amends in zsh: to be sourced after compinit, or kept as _amends in a folder of fpath.

_amends() {
	local -a fitting described
	local line
	for line in "${(@f)$("${(Q)words[1]}" complete -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
		case $line in
		'') ;;
		:files)
			compset -P '--*='
			_files
			return
			;;
		*)
			fitting+=("${line%%$'\t'*}")
			described+=("${line//$'\t'/  -- }")
			;;
		esac
	done
	compadd -l -d described -a fitting
}

if [[ ${funcstack[1]} == _amends ]]; then
	_amends "$@"
else
	compdef _amends amends
fi
