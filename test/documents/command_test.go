package documents

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// request returns the request that a curl command sends. variables are those of the shell, and files by their names with an @ before
// them. Options that it does not support are an error, so that no document shows a command that is not tested.
func request(ctx context.Context, command string, variables map[string]string) (*http.Request, error) {
	args, err := words(command, variables)
	if err != nil {
		return nil, err
	}
	if args[0] != "curl" {
		return nil, fmt.Errorf("%s is not curl", args[0])
	}
	var url, body string
	header, method := http.Header{}, http.MethodGet
	for args = args[1:]; len(args) > 0; args = args[1:] {
		switch arg := args[0]; {
		case arg == "-sS", arg == "-sSN", arg == "--fail":
		case len(args) > 1 && (arg == "--max-time" || arg == "-o"):
			args = args[1:]
		case len(args) > 1 && arg == "-H":
			name, value, _ := strings.Cut(args[1], ": ")
			header.Add(name, value)
			args = args[1:]
		case len(args) > 1 && arg == "-d":
			body, method = args[1], http.MethodPost
			args = args[1:]
		case len(args) > 1 && arg == "--data-binary" && variables[args[1]] != "":
			body, method = variables[args[1]], http.MethodPost
			args = args[1:]
		case len(args) > 1 && arg == "-X" && args[1] == http.MethodPost:
			method = args[1]
			args = args[1:]
		case url == "" && strings.HasPrefix(arg, "http://"):
			url = arg
		default:
			return nil, fmt.Errorf("curl argument %q is not supported", arg)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header
	return r, nil
}

// words splits a command as a shell does: blanks, single and double quotes, and $variables outside of single quotes.
func words(command string, variables map[string]string) ([]string, error) {
	var all []string
	var word strings.Builder
	inside := false // of a word
	expand := func(text string) string {
		return os.Expand(text, func(name string) string { return variables[name] })
	}
	for rest := strings.TrimSpace(command); rest != ""; {
		switch c := rest[0]; c {
		case '\'', '"':
			text, after, closed := strings.Cut(rest[1:], string(c))
			if !closed {
				return nil, errors.New("a quote is not closed")
			}
			if c == '"' {
				text = expand(text)
			}
			word.WriteString(text)
			inside, rest = true, after
		case ' ', '\n':
			if inside {
				all = append(all, word.String())
				word.Reset()
			}
			inside, rest = false, rest[1:]
		case '|', ';', '&', '<', '>', '\\', '`':
			return nil, fmt.Errorf("%q is not supported", c)
		default:
			end := strings.IndexAny(rest, "'\" \n|;&<>\\`")
			if end < 0 {
				end = len(rest)
			}
			word.WriteString(expand(rest[:end]))
			inside, rest = true, rest[end:]
		}
	}
	return append(all, word.String()), nil
}
