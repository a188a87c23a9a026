package program

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/sluicehq/sluice/auth"
	"github.com/sluicehq/sluice/schemas"
)

// settings finds the values of flags that are not on the command line: in the
// environment, then in the file. It collects the faults of all values, wherever they
// come from, so that all can be reported at once.
//
// It is a [kong.Resolver]. Kong's own support for variables is not used: a
// resolver overrides it, which would let the file win over the environment.
type settings struct {
	environ map[string]string
	known   map[*kong.Flag]setting // flags that have a variable
	byName  map[string]setting     // those of serve, by flag

	file    configFile
	opened  bool             // file was read, or there is none
	origins map[string]value // by flag: values from environment and file
	faults  faults
}

// setting is a flag that also has a variable and, if it belongs to serve, a key
// in the configuration file.
type setting struct {
	name     string // of the flag: max-message-bytes
	variable string // SLUICE_MAX_MESSAGE_BYTES
	key      string // max_message_bytes; "": not in the file
	secret   bool   // never shown; may come from the file that variable_FILE names
	list     bool   // has any number of values
}

const (
	variablePrefix = "SLUICE_"
	fileSuffix     = "_FILE"

	// apiKeysFile is the variable of --api-keys-file, and also names a file with the secret
	// --api-keys. Which one it is depends on what is in the file.
	apiKeysFile = "SLUICE_API_KEYS" + fileSuffix
)

func newSettings(environ []string) *settings {
	s := &settings{
		environ: make(map[string]string, len(environ)),
		known:   make(map[*kong.Flag]setting),
		byName:  make(map[string]setting),
		origins: make(map[string]value),
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		s.environ[name] = text
	}
	return s
}

// learn collects the settings from the grammar: every flag of serve, and the flags of
// other commands that have the tag variable.
func (s *settings) learn(k *kong.Kong) error {
	return kong.Visit(k.Model.Node, func(node kong.Visitable, next kong.Next) error {
		parent, ok := node.(*kong.Node)
		if !ok {
			return next(nil)
		}
		serve := parent.Name == "serve"
		for _, flag := range parent.Flags {
			if flag.Name == "help" || flag.Tag.Get("setting") == "-" || !serve && !flag.Tag.Has("variable") {
				continue
			}
			key := strings.ReplaceAll(flag.Name, "-", "_")
			found := setting{name: flag.Name, variable: variablePrefix + strings.ToUpper(key), secret: flag.Tag.Has("secret"), list: flag.IsSlice()}
			if serve {
				if flag.Name != "config" { // a file does not name itself
					found.key = key
				}
				s.byName[flag.Name] = found
			}
			s.known[flag] = found
			flag.Mapper = &faultCollector{flag.Mapper, found, s}
		}
		return next(nil)
	})
}

// describe adds a flag's variable to its help.
func (s *settings) describe(v *kong.Value) string {
	known, ok := s.known[v.Flag]
	if !ok {
		return v.Help
	}
	return strings.TrimSuffix(v.Help, ".") + " ($" + known.variable + ")."
}

// Validate implements [kong.Resolver].
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve implements [kong.Resolver]. Kong calls it for each flag that is not on the
// command line.
func (s *settings) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	known, ok := s.known[flag]
	if !ok {
		return nil, nil
	}
	if parent.Command.Name == "serve" && !s.opened {
		s.opened = true
		s.openFile(ctx, parent)
	}
	if v, ok := s.fromEnvironment(known); ok {
		return v, nil
	}
	if v, ok := s.file.values[known.key]; ok && known.key != "" {
		return v, nil
	}
	return nil, nil
}

// fromEnvironment looks up the setting. An empty variable counts as not set: compose
// files and charts make one of a value that nobody gave.
func (s *settings) fromEnvironment(known setting) (value, bool) {
	text := s.environ[known.variable]
	path := strings.Trim(s.environ[known.variable+fileSuffix], lineEnds)
	if known.variable == apiKeysFile && !hasNamedKeys(text) || known.variable+fileSuffix == apiKeysFile && hasNamedKeys(path) {
		return value{text: text, place: known.variable}, text != "" && known.variable != apiKeysFile
	}
	switch {
	case !known.secret || path == "":
		return value{text: text, place: known.variable}, text != ""
	case text != "":
		s.faults = append(s.faults, fault{known.name, fmt.Sprintf("%s and %s%s are both set: give one of them", known.variable, known.variable, fileSuffix)})
		return value{}, false
	}
	secret, err := readSecret(path)
	if err != nil {
		s.faults = append(s.faults, fault{known.name, fmt.Sprintf("%s%s: %v", known.variable, fileSuffix, err)})
		return value{}, false
	}
	return value{text: secret, place: known.variable + fileSuffix}, true
}

// hasNamedKeys reports whether a file is one for --api-keys-file, or its path is not one line,
// which is a fault of that setting.
func hasNamedKeys(path string) bool {
	path, err := oneLine(path)
	if err != nil {
		return true
	}
	content, err := readSecret(path)
	return err == nil && auth.HasNamedKeys([]byte(content))
}

// openFile reads the configuration file that --config or its variable names.
func (s *settings) openFile(ctx *kong.Context, serve *kong.Path) {
	var path string
	for _, flag := range serve.Flags {
		if flag.Name == "config" {
			path, _ = ctx.FlagValue(flag).(string)
		}
	}
	if path == "" {
		path = strings.Trim(s.environ[s.byName["config"].variable], lineEnds)
	}
	if path == "" {
		return
	}
	var found faults
	s.file, found = readConfigFile(path, s.byName)
	s.faults = append(s.faults, found...)
}

// unknownVariables returns the names in the environment that look like settings but are
// not, and that Kubernetes did not set either.
func (s *settings) unknownVariables() []string {
	names := make(map[string]bool)
	for _, known := range s.known {
		names[known.variable] = true
		names[known.variable+fileSuffix] = known.secret
	}
	var unknown []string
	for name, text := range s.environ {
		if strings.HasPrefix(name, variablePrefix) && !names[name] && !isServiceLink(name, text) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// place returns where the value of a setting was given, for a fault to name.
func (s *settings) place(name string) string {
	if from, ok := s.origins[name]; ok {
		return from.place
	}
	return "--" + name
}

// faultCollector decodes like the mapper in it, but keeps the faults of values for later
// and carries on.
type faultCollector struct {
	kong.Mapper
	setting  setting
	settings *settings
}

// Decode implements [kong.Mapper]. It reads a value the same way wherever it comes from.
func (c *faultCollector) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	token := ctx.Scan.Peek()
	from, resolved := token.Value.(value)
	switch {
	case resolved:
		c.settings.origins[c.setting.name] = from
	case target.Kind() == reflect.Bool: // the next word may be another's
		from = value{text: token.String(), place: "--" + c.setting.name}
		return c.collect(c.Mapper.Decode(ctx, target), from, target)
	case !token.IsValue():
		return errors.New("a value is missing") // the command line itself is wrong
	default:
		from = value{text: token.String(), place: "--" + c.setting.name}
	}
	ctx.Scan.Pop()
	from, err := from.clean(c.setting.list)
	if err != nil {
		c.settings.faults = append(c.settings.faults, faultIn(c.setting.name, from.place, "", err.Error()))
		return nil
	}
	if from.items != nil {
		ctx.Scan.PushTyped(anyOf(from.items), kong.FlagValueToken)
	} else {
		ctx.Scan.PushTyped(from.text, kong.FlagValueToken)
	}
	return c.collect(c.Mapper.Decode(ctx, target), from, target)
}

// collect keeps err as a fault for later, unless it is nil.
func (c *faultCollector) collect(err error, from value, target reflect.Value) error {
	if err == nil {
		return nil
	}
	text := from.String()
	if c.setting.secret {
		text = ""
	}
	c.settings.faults = append(c.settings.faults, faultIn(c.setting.name, from.place, text, wanted(target)))
	return nil
}

// anyOf returns items in the form that Kong decodes one by one.
func anyOf(items []string) []any {
	all := make([]any, len(items))
	for i, item := range items {
		all[i] = item
	}
	return all
}

// wanted says what a value of target's type looks like.
func wanted(target reflect.Value) string {
	switch target.Interface().(type) {
	case time.Duration:
		return "want a time with a unit, such as 500ms, 90s or 1h30m"
	case schemas.ByteSize:
		return "want a number of bytes, such as 65536, 64KiB, 1MiB or 1GiB"
	case int:
		return "want a whole number"
	case bool:
		return "want true or false"
	case slog.Level:
		return "want debug, info, warn or error"
	case []netip.Prefix:
		return "want networks, such as 10.0.0.0/8,fd00::/8"
	}
	return "not understood"
}

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
