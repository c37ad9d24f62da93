// Command pacs is a PACS that is faster than whoever asks it: it has put its answers together beforehand. It accepts every
// association and answers each C-FIND for the patients BENCH-n and PDUS-n with n studies, and for any other with none. It looks at
// nothing else that is asked, knows no other operation, and keeps nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", *address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go serve(conn)
	}
}
