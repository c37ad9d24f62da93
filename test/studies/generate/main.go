// Command generate lists the synthetic studies of samples/pacs, writes them as DICOM files, or
// stores them in a PACS. Their UIDs are the same on each run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/studies"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run parses the arguments and does what they ask for.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.Bool("list", false, "list the patients")
	out := flags.String("out", "", "write new files to this `directory`")
	store := flags.String("store", "", "store in the PACS `AETITLE@HOST:PORT`")
	more := flags.Int("more", 0, "add `N` studies of one patient, for long lists")
	volume := flags.Int("slices", 0, "in place of all studies, a CT volume of `N` slices of 512 x 512 pixels")
	calling := flags.String("calling", "LOADER", "calling AE title for -store")
	wait := flags.Duration("wait", 0, "how long to wait for the PACS to accept connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || !*list && *out == "" && *store == "" {
		return errors.New("use -list, -out or -store; -h shows all flags")
	}
	all := append(studies.All(time.Now()), studies.More(*more)...)
	if *volume > 0 {
		all = []dicomtest.Study{studies.Volume(*volume)}
	}
	var instances []*dicomtest.Instance
	for i := range all {
		instances = append(instances, all[i].Instances()...)
	}
	if *list {
		if err := describe(stdout, all); err != nil {
			return err
		}
	}
	if *out != "" {
		if err := os.MkdirAll(*out, 0o750); err != nil {
			return err
		}
		if _, err := dicomtest.WriteDir(*out, instances); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "%d studies, %d instances written to %s\n", len(all), len(instances), *out); err != nil {
			return err
		}
	}
	if *store == "" {
		return nil
	}
	to, err := parseTarget(*store)
	if err != nil {
		return err
	}
	if err := to.store(ctx, *calling, *wait, instances); err != nil {
		return fmt.Errorf("%s: %w", to.aeTitle, err)
	}
	_, err = fmt.Fprintf(stdout, "%d studies, %d instances stored in %s\n", len(all), len(instances), to.aeTitle)
	return err
}

// describe writes a line for each patient: the ID, the character set of the studies, the
// modalities of each study, and the name.
func describe(w io.Writer, all []dicomtest.Study) error {
	for i := 0; i < len(all); {
		patient := all[i]
		var modalities []string
		for ; i < len(all) && all[i].PatientID == patient.PatientID; i++ {
			modalities = append(modalities, strings.Join(all[i].Modalities(), "+"))
		}
		// The name comes last because its width on a terminal is not known.
		_, err := fmt.Fprintf(w, "%-12s %-32s %-21s %s\n",
			patient.PatientID, characterSet(patient.CharacterSet), counted(modalities), patient.PatientName)
		if err != nil {
			return err
		}
	}
	return nil
}

func characterSet(terms []string) string {
	if len(terms) == 0 {
		return "-"
	}
	return strings.Join(terms, `\`)
}

// counted returns "2 CT, MR" for CT, MR and CT.
func counted(modalities []string) string {
	slices.Sort(modalities)
	var parts []string
	for len(modalities) > 0 {
		first, n := modalities[0], 1
		for n < len(modalities) && modalities[n] == first {
			n++
		}
		if n > 1 {
			first = fmt.Sprintf("%d %s", n, first)
		}
		parts = append(parts, first)
		modalities = modalities[n:]
	}
	return strings.Join(parts, ", ")
}
