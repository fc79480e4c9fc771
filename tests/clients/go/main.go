// Sends the message on standard input with Go's net/smtp: client HOST:PORT FROM TO...
package main

import (
	"io"
	"log"
	"net/smtp"
	"os"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: client HOST:PORT FROM TO...")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	if err := smtp.SendMail(os.Args[1], nil, os.Args[2], os.Args[3:], text); err != nil {
		log.Fatal(err)
	}
}
