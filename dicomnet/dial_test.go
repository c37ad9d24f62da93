package dicomnet_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/dicomnet/pdu"
)

// acceptEdited plays an acceptor that sends an edited A-ASSOCIATE-AC, then serves one C-ECHO and
// the release.
func acceptEdited(edit func(ac *pdu.AssociateAC)) func(p *dicomtest.ScriptedPeer) {
	return func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		ac := p.AC(dataset.ImplicitVRLittleEndian)
		edit(ac)
		p.SendPDU(ac)
		serveEchoAndRelease(p)
	}
}

func serveEchoAndRelease(p *dicomtest.ScriptedPeer) {
	p.SendMessage(dicomtest.Response(p.ReadRequest(dicomnet.CEchoRQ), dicomnet.StatusSuccess, nil))
	p.Release()
	p.ExpectClose()
}

func requireEchoSucceeds(t *testing.T, cfg dicomnet.Config) *dicomnet.Association {
	t.Helper()
	a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
	require.NoError(t, err)
	require.NoError(t, a.Echo(t.Context()))
	require.True(t, a.Usable())
	require.NoError(t, a.Close())
	require.False(t, a.Usable())
	return a
}

func TestDialReportsWhatThePeerNegotiated(t *testing.T) {
	withPeer(t, acceptEdited(func(ac *pdu.AssociateAC) { ac.User.MaxLength = 32768 }), func(t *testing.T, cfg dicomnet.Config) {
		a := requireEchoSucceeds(t, cfg)
		require.Equal(t, dicomnet.PeerInfo{
			ImplementationClassUID: "2.25.1", ImplementationVersionName: "SCRIPT", MaxPDULength: 32768,
		}, a.Peer())
		require.Equal(t, dataset.ImplicitVRLittleEndian, a.TransferSyntax(dicomnet.VerificationSOPClass))
		require.Len(t, a.Contexts(), 3)
	})
}

// See pynetdicom #746, #967, #921 and #589.
func TestDialIgnoresTheAETitlesOfAnAcceptance(t *testing.T) {
	for name, junk := range map[string]string{"NUL": strings.Repeat("\x00", 16), "control characters": "\x01\x7f\r\n"} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, acceptEdited(func(ac *pdu.AssociateAC) {
				ac.CalledAETitle, ac.CallingAETitle = junk, junk
			}), func(t *testing.T, cfg dicomnet.Config) { requireEchoSucceeds(t, cfg) })
		})
	}
}

// See pynetdicom #240 and #243, and dcm4che.
func TestDialAcceptsATransferSyntaxPaddedWithNUL(t *testing.T) {
	withPeer(t, acceptEdited(func(ac *pdu.AssociateAC) {
		for i := range ac.Contexts {
			ac.Contexts[i].TransferSyntaxes[0] += "\x00"
		}
	}), func(t *testing.T, cfg dicomnet.Config) { requireEchoSucceeds(t, cfg) })
}

// See fo-dicom #543 (Onis), pynetdicom #86 (Siemens) and #62 (GE).
func TestDialIgnoresTheTransferSyntaxOfARejectedContext(t *testing.T) {
	for name, junk := range map[string][]string{"without one": nil, "with an unknown one": {"unknown"}} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, acceptEdited(func(ac *pdu.AssociateAC) {
				ac.Contexts[0].Result, ac.Contexts[0].TransferSyntaxes = 3, junk
			}), func(t *testing.T, cfg dicomnet.Config) {
				a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				require.NoError(t, err)
				require.False(t, a.Accepts(dicomnet.StudyRoot.Find))
				f := runFind(t.Context(), a)
				var none *dicomnet.NoContextError
				require.ErrorAs(t, f.err, &none)
				requireStep(t, f.err, dicomnet.StepFind)
				require.EqualError(t, none, "no usable presentation context: "+dicomnet.StudyRoot.Find+" abstract-syntax-not-supported")
				require.NoError(t, a.Echo(t.Context()), "the other contexts remain usable")
				require.NoError(t, a.Close())
			})
		})
	}
}

func TestDialAbortsWithoutAUsableContext(t *testing.T) {
	for name, edit := range map[string]func(ac *pdu.AssociateAC){
		"transfer syntax that was not proposed": func(ac *pdu.AssociateAC) {
			for i := range ac.Contexts {
				ac.Contexts[i].TransferSyntaxes = []string{"1.2.840.10008.1.2.2"}
			}
		},
		"two transfer syntaxes": func(ac *pdu.AssociateAC) {
			for i := range ac.Contexts {
				ac.Contexts[i].TransferSyntaxes = []string{"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
			}
		},
		"no context answered": func(ac *pdu.AssociateAC) { ac.Contexts = nil },
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadAssociateRQ()
				ac := p.AC("")
				edit(ac)
				p.SendPDU(ac)
				p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
				p.ExpectClose()
			}, func(t *testing.T, cfg dicomnet.Config) {
				_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				var none *dicomnet.NoContextError
				require.ErrorAs(t, err, &none)
				require.Len(t, none.Contexts, 3)
				requireStep(t, err, dicomnet.StepAssociate)
			})
		})
	}
}

func TestDialIgnoresUnproposedContextsAndSecondAnswers(t *testing.T) {
	withPeer(t, acceptEdited(func(ac *pdu.AssociateAC) {
		ac.Contexts = append(ac.Contexts,
			pdu.ContextAC{ID: 99, TransferSyntaxes: []string{"1.2.840.10008.1.2"}},
			pdu.ContextAC{ID: echoID, Result: 4})
	}), func(t *testing.T, cfg dicomnet.Config) { requireEchoSucceeds(t, cfg) })
}

// See fo-dicom #1447.
func TestDialAcceptsAPeerWithoutImplementationClassUID(t *testing.T) {
	withPeer(t, acceptEdited(func(ac *pdu.AssociateAC) {
		ac.User.ImplementationClassUID, ac.User.ImplementationVersionName = "", "\x1b[31mX\x00"
	}), func(t *testing.T, cfg dicomnet.Config) {
		require.Equal(t, "[31mX", requireEchoSucceeds(t, cfg).Peer().ImplementationVersionName)
	})
}

// See dicom-rs #479, dicomweb-pacs #47.
func TestRequestsStayWithinThePeersMaximumLength(t *testing.T) {
	for name, test := range map[string]struct {
		peers, want uint32
	}{
		"no limit stated: our own limit": {0, 16384},
		"128":                            {128, 128},
		"an odd length":                  {131, 131},
		"the shortest possible":          {8, 8},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadAssociateRQ()
				ac := p.AC("")
				ac.User.MaxLength = test.peers
				p.SendPDU(ac)
				rq := p.ReadRequest(dicomnet.CFindRQ)
				p.SendMessage(dicomtest.Response(rq, dicomnet.StatusSuccess, nil))
				p.Release()
			}, func(t *testing.T, cfg dicomnet.Config) {
				rec := record(&cfg)
				a, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				require.NoError(t, err)
				require.NoError(t, runFind(t.Context(), a).err)
				requireOnePDVPerPDU(t, rec.writes[1], test.want)
				require.NoError(t, a.Close())
			})
		})
	}
	t.Run("7 is too short for a fragment", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			ac := p.AC("")
			ac.User.MaxLength = 7
			p.SendPDU(ac)
			p.ExpectAbort(pdu.SourceProvider, pdu.ReasonInvalidParameter)
		}, func(t *testing.T, cfg dicomnet.Config) {
			_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			requireProtocolError(t, err, dicomnet.StepAssociate)
		})
	})
}

func TestDialAbortsWhenAnItemIsLongerThanItsPDU(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.Send(rawPDU(2, append(make([]byte, 68), 0x21, 0, 0xFF, 0xFF, 1)))
		p.ExpectAbort(pdu.SourceProvider, pdu.ReasonInvalidParameter)
		p.ExpectClose()
	}, func(t *testing.T, cfg dicomnet.Config) {
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		requireProtocolError(t, err, dicomnet.StepAssociate)
	})
}

// See pynetdicom #629 and #791 (limits) and #633 (reserved values).
func TestDialReturnsTheRejection(t *testing.T) {
	for text, rj := range map[string]pdu.AssociateRJ{
		"association rejected: rejected-permanent, service-user, called-AE-title-not-recognized":            {Result: 1, Source: 1, Reason: 7},
		"association rejected: rejected-transient, service-provider (presentation), local-limit-exceeded":   {Result: 2, Source: 3, Reason: 2},
		"association rejected: rejected-permanent, service-provider (ACSE), protocol-version-not-supported": {Result: 1, Source: 2, Reason: 2},
		"association rejected: result 9, source 9, reason 9":                                                {Result: 9, Source: 9, Reason: 9},
	} {
		t.Run(text, func(t *testing.T) {
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadAssociateRQ()
				p.SendPDU(&rj)
				p.ExpectClose()
			}, func(t *testing.T, cfg dicomnet.Config) {
				_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				var reject *dicomnet.RejectError
				require.ErrorAs(t, err, &reject)
				require.EqualError(t, reject, text)
				require.Equal(t, rj.Result == 2, reject.Transient())
				requireStep(t, err, dicomnet.StepAssociate)
			})
		})
	}
}

// See pynetdicom #109 and #561.
func TestDialReturnsTheAbortOfThePeer(t *testing.T) {
	for text, abort := range map[string]pdu.Abort{
		"aborted by the peer: service-user, no reason":                       {},
		"aborted by the peer: service-provider, unexpected-PDU":              {Source: 2, Reason: 2},
		"aborted by the peer: source 1, reason 9":                            {Source: 1, Reason: 9},
		"aborted by the peer: service-provider, reason-not-specified":        {Source: 2},
		"aborted by the peer: service-provider, unrecognized-PDU":            {Source: 2, Reason: 1},
		"aborted by the peer: service-provider, invalid-PDU-parameter-value": {Source: 2, Reason: 6},
	} {
		t.Run(text, func(t *testing.T) {
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadAssociateRQ()
				p.SendPDU(&abort)
				p.ExpectClose()
			}, func(t *testing.T, cfg dicomnet.Config) {
				_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				var aborted *dicomnet.AbortError
				require.ErrorAs(t, err, &aborted)
				require.EqualError(t, aborted, text)
				requireStep(t, err, dicomnet.StepAssociate)
			})
		})
	}
}

func TestDialReportsAPeerThatClosesInsteadOfAnswering(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) { p.ReadAssociateRQ() }, func(t *testing.T, cfg dicomnet.Config) {
		start := time.Now()
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		require.ErrorIs(t, err, dicomnet.ErrConnectionLost)
		requireStep(t, err, dicomnet.StepAssociate)
		require.Zero(t, time.Since(start), "Dial waits for no timer")
	})
}

func TestDialTimesOutWithoutAnAnswer(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, cfg dicomnet.Config) {
		start := time.Now()
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		requireTimeout(t, err, dicomnet.TimerACSE)
		requireStep(t, err, dicomnet.StepAssociate)
		require.Equal(t, timeouts.ACSE, time.Since(start))
	})
}

func TestDialTimesOutWhileConnecting(t *testing.T) {
	withPeer(t, nil, func(t *testing.T, cfg dicomnet.Config) {
		cfg.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
		requireTimeout(t, err, dicomnet.TimerConnection)
		requireStep(t, err, dicomnet.StepConnect)
		require.Equal(t, timeouts.Connection, time.Since(start))
	})
}

// See dicom-rs #604 and #158, pynetdicom #528.
func TestDialReadsAnAnswerInAnySegments(t *testing.T) {
	t.Run("of one byte each", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			p.SendBytewise(p.AC("").Append(nil), 20*time.Millisecond)
			serveEchoAndRelease(p)
		}, func(t *testing.T, cfg dicomnet.Config) { requireEchoSucceeds(t, cfg) })
	})
	t.Run("together with the first P-DATA-TF", func(t *testing.T) {
		withPeer(t, func(p *dicomtest.ScriptedPeer) {
			p.ReadAssociateRQ()
			early := dicomtest.Message{ContextID: echoID, Command: dicomnet.CommandSet{
				CommandField: dicomnet.CEchoRSP, MessageIDBeingRespondedTo: 1,
			}}
			p.Send(early.Append(p.AC("").Append(nil)))
			p.ReadRequest(dicomnet.CEchoRQ)
			p.Release()
		}, func(t *testing.T, cfg dicomnet.Config) { requireEchoSucceeds(t, cfg) })
	})
}

// See fo-dicom #1678, and dcmjs-dimse.
func TestDialRecognisesPeersThatDoNotSpeakDICOM(t *testing.T) {
	for name, test := range map[string]struct {
		says string
		want error
	}{
		"HTTP":                {"HTTP/1.1 400 Bad Request\r\n\r\n", dicomnet.ErrNotDICOM},
		"SSH":                 {"SSH-2.0-OpenSSH\r\n", dicomnet.ErrNotDICOM},
		"a TLS alert":         {"\x15\x03\x01\x00\x02\x02\x46", dicomnet.ErrTLSExpected},
		"only its first byte": {"H", dicomnet.ErrNotDICOM},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadAssociateRQ()
				p.Send([]byte(test.says))
				p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnrecognizedPDU)
				p.ExpectClose()
			}, func(t *testing.T, cfg dicomnet.Config) {
				start := time.Now()
				_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				require.ErrorIs(t, err, test.want)
				requireProtocolError(t, err, dicomnet.StepAssociate)
				require.Zero(t, time.Since(start))
			})
		})
	}
}

// See io-dicom #38.
func TestUnexpectedPDUAbortsTheAssociation(t *testing.T) {
	for name, unexpected := range map[string]pdu.PDU{
		"A-ASSOCIATE-AC": &pdu.AssociateAC{},
		"A-ASSOCIATE-RQ": &pdu.AssociateRQ{},
		"A-ASSOCIATE-RJ": &pdu.AssociateRJ{},
		"A-RELEASE-RP":   &pdu.ReleaseRP{},
	} {
		t.Run(name, func(t *testing.T) {
			withAssociation(t, func(p *dicomtest.ScriptedPeer) {
				p.ReadRequest(dicomnet.CEchoRQ)
				p.SendPDU(unexpected)
				p.ExpectAbort(pdu.SourceProvider, pdu.ReasonUnexpectedPDU)
				p.ExpectClose()
			}, func(t *testing.T, a *dicomnet.Association) {
				requireProtocolError(t, a.Echo(t.Context()), dicomnet.StepEcho)
				require.False(t, a.Usable())
			})
		})
	}
}

// See dicom-rs #798, pynetdicom #646.
func TestDialChecksItsConfigBeforeDialling(t *testing.T) {
	for name, title := range map[string]string{
		"17 characters": strings.Repeat("A", 17), "empty": "", "backslash": `A\B`,
		"only spaces": "   ", "tab": "A\tB", "not ASCII": "PÄCS",
	} {
		t.Run(name, func(t *testing.T) {
			for _, edit := range []func(*dicomnet.Config){
				func(c *dicomnet.Config) { c.CallingAETitle = title },
				func(c *dicomnet.Config) { c.CalledAETitle = title },
			} {
				cfg := config()
				cfg.DialContext = func(context.Context, string, string) (net.Conn, error) {
					t.Error("dialled")
					return nil, net.ErrClosed
				}
				edit(&cfg)
				_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
				var invalid *dicomnet.ConfigError
				require.ErrorAs(t, err, &invalid)
			}
		})
	}
	t.Run("16 characters", func(t *testing.T) {
		withPeer(t, acceptEdited(func(*pdu.AssociateAC) {}), func(t *testing.T, cfg dicomnet.Config) {
			cfg.CallingAETitle = strings.Repeat("A", 16)
			requireEchoSucceeds(t, cfg)
		})
	})
	t.Run("presentation contexts", func(t *testing.T) {
		for _, contexts := range [][]dicomnet.Context{nil, make([]dicomnet.Context, 129), {{AbstractSyntax: "1.2"}}} {
			cfg := config()
			cfg.Contexts = contexts
			_, err := dicomnet.Dial(t.Context(), "pacs:104", cfg)
			var invalid *dicomnet.ConfigError
			require.ErrorAs(t, err, &invalid)
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	withPeer(t, func(p *dicomtest.ScriptedPeer) {
		p.ReadAssociateRQ()
		p.ExpectAbort(pdu.SourceUser, pdu.ReasonNotSpecified)
		p.ExpectClose()
	}, func(t *testing.T, cfg dicomnet.Config) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		start := time.Now()
		_, err := dicomnet.Dial(ctx, "pacs:104", cfg)
		require.ErrorIs(t, err, context.Canceled)
		requireStep(t, err, dicomnet.StepAssociate)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestDialReportsARefusedConnectionWithoutTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = dicomnet.Dial(t.Context(), l.Addr().String(), config())
	var refused *dicomnet.ConnectError
	require.ErrorAs(t, err, &refused)
	requireStep(t, err, dicomnet.StepConnect)
	require.EqualError(t, err, "connect: cannot connect", "the text contains no address")
}
