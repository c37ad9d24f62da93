// Command pacs is a PACS that is faster than its clients, because it encodes its responses beforehand. It accepts every association.
// C-FIND finds n studies for the patients BENCH-n, PDUS-n and WEB-n, and n instances at IMAGE level in any study of these; other keys are
// ignored. C-GET sends CT images: the study 2.25.1504132986372085743109117645530.n.size has n of them with size bytes of pixels each. There are no
// other operations.
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
