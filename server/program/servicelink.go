package program

import "regexp"

// isServiceLink reports whether Kubernetes has set a variable. For a service named
// sluice or sluice-something, it sets several in every container of the namespace, and
// they look like settings. A variable of that form with another kind of value was meant
// as a setting.
func isServiceLink(name, text string) bool {
	const number, address, protocol = `\d+`, `[0-9a-fA-F.:]+`, `(TCP|UDP|SCTP)`
	for _, link := range []struct{ name, text string }{
		{`SERVICE_HOST`, address},
		{`SERVICE_PORT(_[A-Z0-9_]+)?`, number},
		{`PORT(_\d+_` + protocol + `)?`, `(?i:` + protocol + `)://\S+`},
		{`PORT_\d+_` + protocol + `_PROTO`, `(?i:` + protocol + `)`},
		{`PORT_\d+_` + protocol + `_PORT`, number},
		{`PORT_\d+_` + protocol + `_ADDR`, address},
	} {
		if matches(`SLUICE_([A-Z0-9_]+_)?`+link.name, name) && matches(link.text, text) {
			return true
		}
	}
	return false
}

// matches reports whether the whole text matches.
func matches(pattern, text string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(text)
}
