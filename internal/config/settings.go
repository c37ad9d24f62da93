package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/caarlos0/env/v11"

	"dicom-qr-gateway/internal/memory"
)

// Setting describes one setting to people.
type Setting struct {
	Group   string // such as Timeouts
	Name    string // of the environment variable
	Default string // as it is written, or the name of the setting whose value it takes
	Help    string // the meaning
}

// Settings returns every setting, those of the demonstration last.
func Settings() []Setting {
	var all []Setting
	group := ""
	for _, of := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[Demo]()} {
		for _, field := range reflect.VisibleFields(of) {
			name := field.Tag.Get("env")
			if name == "" {
				continue
			}
			group = cmp.Or(field.Tag.Get("group"), group)
			value := cmp.Or(field.Tag.Get("envDefault"), field.Tag.Get("default"))
			all = append(all, Setting{Group: group, Name: name, Default: value, Help: field.Tag.Get("help")})
		}
	}
	return all
}

// parse sets the fields of a struct that have a tag env. An empty variable counts as unset.
func parse[T any](fields *T, faults *faultyVariables, variables map[string]string) {
	set := map[string]string{}
	for name, value := range variables {
		if value != "" {
			set[name] = value
		}
	}
	if err := env.ParseWithOptions(fields, env.Options{Environment: set}); err != nil {
		faults.addParseErrors(reflect.TypeFor[T](), err)
	}
}

// Demo holds the settings of the demonstration.
type Demo struct {
	AddressA string  `group:"Demonstration" env:"DEMO_PACS_A_ADDR" envDefault:"127.0.0.1:4242" help:"address of ORTHANCA, loopback only"`
	AddressB string  `env:"DEMO_PACS_B_ADDR" envDefault:"127.0.0.1:4243" help:"address of ORTHANCB, loopback only"`
	Delay    Seconds `env:"DEMO_DELAY" envDefault:"0" help:"the time that these PACS take for each instance that they send"`
}

// LoadDemo reads the settings of the demonstration. checkAddress says what is wrong with an address. The error is a *FaultsError.
func LoadDemo(variables map[string]string, checkAddress func(string) error) (Demo, error) {
	var d Demo
	var faults faultyVariables
	parse(&d, &faults, variables)
	for name, address := range map[string]string{"DEMO_PACS_A_ADDR": d.AddressA, "DEMO_PACS_B_ADDR": d.AddressB} {
		if err := checkAddress(address); err != nil {
			faults.add(name, err.Error())
		}
	}
	return d, faults.err()
}

// Seconds is a duration. It is written as a number of seconds, with or without a fraction, or with units.
type Seconds time.Duration

const maxSeconds = 1_000_000

// UnmarshalText reads a duration such as 10, 0.5, 10s, 500ms or 1m30s.
func (s *Seconds) UnmarshalText(text []byte) error {
	wanted := fmt.Errorf("want seconds, 0 to %d, or a duration such as 500ms or 1m30s", maxSeconds)
	if f, err := strconv.ParseFloat(string(text), 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if err != nil || math.IsNaN(f) || f < 0 || f > maxSeconds {
			return wanted
		}
		*s = Seconds(f * float64(time.Second))
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 || d > maxSeconds*time.Second {
		return wanted
	}
	*s = Seconds(d)
	return nil
}

// Duration returns s as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) }

// Bytes is a size. It is written as a number of bytes, with or without one of the units KiB, MiB, GiB and TiB.
type Bytes int64

// String returns the size in the largest unit that gives a whole number.
func (b Bytes) String() string {
	for _, unit := range []struct {
		name string
		size Bytes
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}} {
		if b != 0 && b%unit.size == 0 {
			return strconv.FormatInt(int64(b/unit.size), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// UnmarshalText reads a size such as 268435456 or 256MiB.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, ok := memory.ParseBytes(string(text))
	if !ok || n == math.MaxInt64 {
		return errors.New("want a number of bytes with or without a unit, such as 256MiB")
	}
	*b = Bytes(n)
	return nil
}
