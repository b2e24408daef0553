# Completes command lines of amends in bash 4.4 or later.

_amends() {
	# bash breaks words at = and :, too, and says so nowhere; what stands together is one word.
	local words=() word between rest=$COMP_LINE
	for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
		between=
		if [[ -n $word ]]; then
			between=${rest%%"$word"*}
			rest=${rest:${#between}+${#word}}
		fi
		if [[ -n $word && -z $between && ${#words[@]} -gt 0 ]]; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
	done

	# What bash takes for the last word is all that it replaces.
	local replaced=${COMP_WORDS[COMP_CWORD]} line
	[[ $replaced == [=:]* ]] && replaced=${replaced:1}
	local kept=${words[-1]%"$replaced"}

	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o default
		else
			line=${line%%$'\t'*}
			COMPREPLY+=("${line#"$kept"}")
		fi
	done < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _amends amends
