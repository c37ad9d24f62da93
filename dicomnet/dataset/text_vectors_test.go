package dataset_test

import (
	"github.com/suyashkumar/dicom/pkg/tag"
)

// textVector is a text and its encoding, from the standard or another implementation.
type textVector struct {
	origin       string
	characterSet string
	tag          tag.Tag
	text         string // values are separated by bars
	bytes        string
}

// roundTripVectors have only one correct encoding, so they hold for decoding and encoding.
var roundTripVectors = []textVector{
	{
		"PS3.5 H.3.1", `\ISO 2022 IR 87`, tag.PatientName, "Yamada^Tarou=山田^太郎=やまだ^たろう",
		"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
	},
	{
		"PS3.5 H.3.2", `ISO 2022 IR 13\ISO 2022 IR 87`, tag.PatientName, "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
		"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
	},
	{
		"PS3.5 I.2", `\ISO 2022 IR 149`, tag.PatientName, "Hong^Gildong=洪^吉洞=홍^길동",
		"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
	},
	{
		"PS3.5 I.3", `\ISO 2022 IR 149`, tag.AdditionalPatientHistory,
		"The first line includes 한글.\r\nThe second line includes 한글, too.\r\nThe third line.",
		"The first line includes \x1b$)C\xc7\xd1\xb1\xdb.\r\nThe second line includes \x1b$)C\xc7\xd1\xb1\xdb, too.\r\nThe third line.",
	},
	{
		"PS3.5 J.1", `ISO_IR 192`, tag.PatientName, "Wang^XiaoDong=王^小東",
		"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1",
	},
	{
		"PS3.5 J.3", `GB18030`, tag.PatientName, "Wang^XiaoDong=王^小东",
		"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab",
	},
	{
		"PS3.5 J.3 with GBK", `GBK`, tag.PatientName, "Wang^XiaoDong=王^小东",
		"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab",
	},
	{
		"PS3.5 K.2", `\ISO 2022 IR 58`, tag.PatientName, "Zhang^XiaoDong=张^小东=",
		"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
	},
	{
		"PS3.5 K.3", `\ISO 2022 IR 58`, tag.AdditionalPatientHistory,
		"1.第一行文字。\r\n2.第二行文字。\r\n3.第三行文字。\r\n",
		"1.\x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n" +
			"2.\x1b$)A\xb5\xda\xb6\xfe\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n" +
			"3.\x1b$)A\xb5\xda\xc8\xfd\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\r\n",
	},
	{"default repertoire", "", tag.PatientName, "Adams^John Robert Quincy^^Rev.", "Adams^John Robert Quincy^^Rev."},
	{"pydicom ISO_IR 100", "ISO_IR 100", tag.PatientName, "Buc^Jérôme", "Buc^J\xe9r\xf4me"},
	{"pydicom ISO_IR 100, German", "ISO_IR 100", tag.PatientName, "Äneas^Rüdiger", "\xc4neas^R\xfcdiger"},
	{"pydicom ISO_IR 101", "ISO_IR 101", tag.PatientName, "Wałęsa", "Wa\xb3\xeasa"},
	{"pydicom ISO_IR 109", "ISO_IR 109", tag.PatientName, "antaŭnomo", "anta\xfdnomo"},
	{"pydicom ISO_IR 110", "ISO_IR 110", tag.PatientName, "vārds", "v\xe0rds"},
	{"pydicom ISO_IR 127", "ISO_IR 127", tag.PatientName, "قباني^لنزار", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1"},
	{"pydicom ISO_IR 126", "ISO_IR 126", tag.PatientName, "Διονυσιος", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2"},
	{"pydicom ISO_IR 138", "ISO_IR 138", tag.PatientName, "שרון^דבורה", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4"},
	{"pydicom ISO_IR 144", "ISO_IR 144", tag.PatientName, "Люкceмбypг", "\xbb\xee\xdace\xdc\xd1yp\xd3"},
	{"pydicom ISO_IR 148", "ISO_IR 148", tag.PatientName, "Çavuşoğlu", "\xc7avu\xfeo\xf0lu"},
	{"pydicom ISO_IR 166", "ISO_IR 166", tag.PatientName, "นามสกุล", "\xb9\xd2\xc1\xca\xa1\xd8\xc5"},
	{"ISO_IR 203", "ISO_IR 203", tag.PatientName, "Œuvre^Žofie", "\xbcuvre^\xb4ofie"},
	{"ISO_IR 13", "ISO_IR 13", tag.PatientName, "ﾔﾏﾀﾞ^ﾀﾛｳ", "\xd4\xcf\xc0\xde^\xc0\xdb\xb3"},
	{"ISO_IR 13 shows a yen sign and an overline", "ISO_IR 13", tag.AdditionalPatientHistory, "¥500‾", "\\500~"},
	{
		"pydicom ISO 2022 IR 13", `\ISO 2022 IR 13`, tag.PatientName, "ASCII+ﾔﾏﾀﾞ^ﾀﾛｳ",
		"ASCII+\x1b)I\xd4\xcf\xc0\xde^\x1b)I\xc0\xdb\xb3",
	},
	{
		"pydicom ISO 2022 IR 100", `\ISO 2022 IR 100`, tag.PatientName, "ASCII+Buc^Jérôme",
		"ASCII+Buc^J\x1b-A\xe9r\xf4me",
	},
	{"pydicom ISO 2022 IR 101", `\ISO 2022 IR 101`, tag.PatientName, "Wałęsa", "Wa\x1b-B\xb3\xeasa"},
	{"pydicom ISO 2022 IR 109", `\ISO 2022 IR 109`, tag.PatientName, "antaŭnomo", "anta\x1b-C\xfdnomo"},
	{"pydicom ISO 2022 IR 110", `\ISO 2022 IR 110`, tag.PatientName, "vārds", "v\x1b-D\xe0rds"},
	{
		"pydicom ISO 2022 IR 127", `\ISO 2022 IR 127`, tag.PatientName, "قباني^لنزار",
		"\x1b-G\xe2\xc8\xc7\xe6\xea^\x1b-G\xe4\xe6\xd2\xc7\xd1",
	},
	{
		"pydicom ISO 2022 IR 138", `\ISO 2022 IR 138`, tag.PatientName, "שרון^דבורה",
		"\x1b-H\xf9\xf8\xe5\xef^\x1b-H\xe3\xe1\xe5\xf8\xe4",
	},
	{"pydicom ISO 2022 IR 148", `\ISO 2022 IR 148`, tag.PatientName, "Çavuşoğlu", "\x1b-M\xc7avu\xfeo\xf0lu"},
	{"pydicom ISO 2022 IR 166", `\ISO 2022 IR 166`, tag.PatientName, "นามสกุล", "\x1b-T\xb9\xd2\xc1\xca\xa1\xd8\xc5"},
	{"ISO 2022 IR 203", `\ISO 2022 IR 203`, tag.PatientName, "Žofie", "\x1b-b\xb4ofie"},
	{
		"pydicom single-byte sets, per component group", `ISO 2022 IR 100\ISO 2022 IR 126`, tag.PatientName,
		"Dionysios=Διονυσιος", "Dionysios=\x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2",
	},
	{
		"pydicom single-byte sets, per value", `ISO 2022 IR 100\ISO 2022 IR 144\ISO 2022 IR 126`, tag.OtherPatientNames,
		"Buc^Jérôme|Διονυσιος|Люкceмбypг",
		"Buc^J\xe9r\xf4me\\\x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2\\\x1b-L\xbb\xee\xdace\xdc\xd1yp\xd3",
	},
	{
		"pydicom single-byte sets, within a text", `ISO 2022 IR 100\ISO 2022 IR 126`, tag.SeriesDescription,
		"Dionysios is Διονυσιος", "Dionysios is \x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2",
	},
	{
		"pydicom JIS X 0208 and 0212", `ISO 2022 IR 6\ISO 2022 IR 87\ISO 2022 IR 159`, tag.PatientName,
		"Mori^Ogai=森^鷗外=もり^おうがい",
		"Mori^Ogai=\x1b$B?9\x1b(B^\x1b$(Dl?\x1b$B30\x1b(B=\x1b$B$b$j\x1b(B^\x1b$B$*$&$,$$\x1b(B",
	},
	{
		"pydicom all Japanese sets in one text", `ISO 2022 IR 13\ISO 2022 IR 87\ISO 2022 IR 159`, tag.SeriesDescription,
		"あaｱア齩", "\x1b$B$\"\x1b(Ja\xb1\x1b$B%\"\x1b$(DmN\x1b(J",
	},
	{
		"5C within a kanji does not separate values", `\ISO 2022 IR 87`, tag.OtherPatientNames, "山本|本",
		"\x1b$B;3K\\\x1b(B\\\x1b$BK\\\x1b(B",
	},
	{"5C as second byte in GBK does not separate values", "GBK", tag.OtherPatientNames, "郳|誠", "\xe0\x5c\\\xd5\x5c"},
	{"5C and 5E as second bytes in GB18030", "GB18030", tag.OtherPatientNames, "誠謂|𠮷", "\xd5\x5c\xd6\x5e\\\x95\x34\xb2\x35"},
	{"four bytes in GB18030", "GB18030", tag.PatientName, "Straße", "Stra\x81\x30\x89\x38e"},
	{"UTF-8 beyond the basic plane", "ISO_IR 192", tag.PatientName, "𠮷田^太郎", "𠮷田^太郎"},
}

// decodeOnlyVectors are decoded, but would be encoded differently.
var decodeOnlyVectors = []textVector{
	{"PS3.5 J.3 with its third delimiter", "GB18030", tag.PatientName, "Wang^XiaoDong=王^小东=", "Wang^XiaoDong=\xcd\xf5\x5e\xd0\xa1\xb6\xab="},
	{
		"pydicom, escape sequences before ASCII", `\ISO 2022 IR 100`, tag.PatientName, "ASCII+Buc^Jérôme",
		"ASCII+\x1b-ABuc^\x1b-AJ\xe9r\xf4me",
	},
	{"JIS X 0208 of 1978", `\ISO 2022 IR 87`, tag.PatientName, "山田", "\x1b$@;3ED\x1b(B"},
	{"no return to ASCII before a delimiter", `\ISO 2022 IR 87`, tag.PatientName, "山田^太郎", "\x1b$B;3ED^\x1b$BB@O:"},
	{"katakana in G0", `\ISO 2022 IR 13`, tag.PatientName, "ﾔﾏﾀﾞ", "\x1b(ITO@^\x1b(B"},
	{"katakana in G0 with the bytes of delimiters", `\ISO 2022 IR 13`, tag.PatientName, "ｽｽﾞｷ^ﾜ", "\x1b(I==^7\x1b(B^\x1b(I\\\x1b(B"},
	{"a set that (0008,0005) does not name", "ISO_IR 100", tag.PatientName, "Διο", "\x1b-F\xc4\xe9\xef"},
	{"escape sequences without any (0008,0005)", "", tag.PatientName, "山田", "\x1b$B;3ED\x1b(B"},
	{"JIS X 0208 as the only term", "ISO 2022 IR 87", tag.PatientName, "山田", "\x1b$B;3ED\x1b(B"},
	{"a space within kanji", `\ISO 2022 IR 87`, tag.PatientName, "山 田", "\x1b$B;3 ED\x1b(B"},
	{"KS X 1001 and GB 2312 in G0", `\ISO 2022 IR 149\ISO 2022 IR 58`, tag.PatientName, "홍王", "\x1b$(CH+\x1b$AMu\x1b(B"},
	{"JIS in G1", `\ISO 2022 IR 87`, tag.PatientName, "山田", "\x1b$)B\xbb\xb3\xc5\xc4"},
	{"a tab returns to the initial sets", `\ISO 2022 IR 126\ISO 2022 IR 100`, tag.AdditionalPatientHistory, "Δ\té", "\x1b-F\xc4\t\x1b-A\xe9"},
	{"UTF-8 as second term", `\ISO_IR 192`, tag.PatientName, "Jérôme", "J\xc3\xa9r\xc3\xb4me"},
	{"terms after UTF-8, which has no code extensions", `ISO_IR 192\ISO 2022 IR 100`, tag.PatientName, "Jérôme", "J\xc3\xa9r\xc3\xb4me"},
	{"minus sign and wave dash of the standard", `\ISO 2022 IR 87`, tag.PatientName, "−〜", "\x1b$B!]!A\x1b(B"},
	{"NEC's extension of JIS X 0208", `\ISO 2022 IR 87`, tag.PatientName, "①", "\x1b$B-!\x1b(B"},
}
