# Completes command lines of amends in fish 3 or later.

function __amends_complete
	set -l words (commandline --tokenize --cut-at-cursor --current-process)
	set -l last (commandline --current-token --cut-at-cursor | string collect --allow-empty)
	for line in ($words[1] complete -- $words[2..] "$last" 2>/dev/null)
		if test "$line" = :files
			set -l flag (string match --regex '^--[^=]*=' -- "$last")
			printf '%s\n' "$flag"(__fish_complete_path (string replace -- "$flag" '' "$last"))
		else
			echo $line
		end
	end
end

complete --command amends --no-files --arguments '(__amends_complete)'
