package studies

import (
	"dicom-qr-gateway/dicomnet/dicomtest"
)

// withCharacterSets returns one study for each kind of Specific Character Set: single-byte
// repertoires, code extensions with escape sequences, and multi-byte sets without code
// extensions (PS3.3 section C.12.1.1.2).
func withCharacterSets() []dicomtest.Study {
	var studies []dicomtest.Study
	for _, one := range []struct {
		patientID, birthDate, sex string
		characterSet              []string
		name, description         string
		physician, institution    string
	}{
		{
			"LATIN1", "19540308", "F",
			[]string{"ISO_IR 100"},
			"Grün^Zoë", "Schädel und Hals", "Lefèvre^François", "Klinik Süd",
		},
		{
			"LATIN2", "19630412", "M",
			[]string{"ISO_IR 101"},
			"Żółkiewski^Łukasz", "Głowa i szyja", "Dvořák^Jiří", "Szpital Północ",
		},
		{
			"TURKISH", "19720523", "F",
			[]string{"ISO_IR 148"},
			"Yıldız^Ayşegül", "Göğüs", "Şahin^Çağrı", "Hastane",
		},
		{
			"CYRILLIC", "19810630", "M",
			[]string{"ISO_IR 144"},
			"Синицын^Фёдор", "Грудная клетка", "Воробьёва^Нина", "Больница",
		},
		{
			"GREEK", "19900714", "F",
			[]string{"ISO_IR 126"},
			"Θαλασσινού^Ηώ", "Θώρακας", "Γιατρός^Άρης", "Νοσοκομείο",
		},
		{
			"ARABIC", "19590817", "M",
			[]string{"ISO_IR 127"},
			"بستان^سامر", "الصدر", "طبيب^هدى", "مستشفى",
		},
		{
			"HEBREW", "19680921", "F",
			[]string{"ISO_IR 138"},
			"ים^טלי", "חזה", "רופא^דן", "בית חולים",
		},
		{
			"THAI", "19771005", "M",
			[]string{"ISO_IR 166"},
			"ทดสอบ^สมมติ", "ทรวงอก", "แพทย์^ตัวอย่าง", "โรงพยาบาล",
		},
		{
			"KATAKANA", "19860111", "F",
			[]string{"ISO_IR 13"},
			"ﾃｽﾄ^ﾊﾙｶ", "ｷｮｳﾌﾞ", "ｲｼ^ｹﾝ", "ﾋﾞｮｳｲﾝ",
		},
		{
			"KANJI", "19950222", "M",
			[]string{"", "ISO 2022 IR 87"},
			"Kawano^Haruto=川野^陽人=かわの^はると", "胸部単純", "Mori^Aoi=森^葵", "中央病院",
		},
		{
			"KANJI13", "19560305", "F",
			[]string{"ISO 2022 IR 13", "ISO 2022 IR 87"},
			"ｶﾜﾉ^ｻｸﾗ=川野^桜=かわの^さくら", "頭部ＣＴ", "ﾓﾘ^ｱｵｲ=森^葵", "中央病院",
		},
		{
			"KANJI159", "19650410", "M",
			[]string{"", "ISO 2022 IR 87", "ISO 2022 IR 159"},
			"Uchida^Kamome=内田^鷗=うちだ^かもめ", "胸部", "Mori^Aoi=森^葵", "中央病院",
		},
		{
			"KOREAN", "19740518", "F",
			[]string{"", "ISO 2022 IR 149"},
			"Han^Sora=韓^素羅=한^소라", "흉부", "Baek^Jun=白^俊=백^준", "중앙병원",
		},
		{
			"CHINESE58", "19830627", "M",
			[]string{"", "ISO 2022 IR 58"},
			"Lin^Xiaoyu=林^小雨", "胸部检查", "Yisheng^Jia=医生^甲", "中心医院",
		},
		{
			"GB18030", "19920706", "F",
			[]string{"GB18030"},
			"Lin^Xiaoqing=林^小晴", "胸部检查", "Müller^Jörg", "中心医院",
		},
		{
			"GBK", "19510815", "M",
			[]string{"GBK"},
			"Lin^Daming=林^大明", "胸部檢查", "Yisheng^Bing=医生^丙", "中心医院",
		},
		{
			"UTF8", "19600924", "F",
			[]string{"ISO_IR 192"},
			"Đặng^Thị Ánh=鄧^氏映=Ψ^Ж", "Ngực · 胸 · грудь · θώρακας", "Çelik^Ömer", "Bệnh viện €",
		},
		{
			"LATIN1GREEK", "19691003", "M",
			[]string{"ISO 2022 IR 100", "ISO 2022 IR 126"},
			"Müller^Jörg=Μύλος^Γιώργος", "Brust (Θώρακας)", "Größe^Änne", "Klinik Athen (Αθήνα)",
		},
		{
			"ПАЦИЕНТ-7", "19781112", "F",
			[]string{"ISO_IR 192"},
			"Сорока^Майя", "Колено", "Воробьёва^Нина", "Больница",
		},
	} {
		studies = append(studies, dicomtest.Study{
			PatientID: one.patientID, PatientBirthDate: one.birthDate, PatientSex: one.sex, CharacterSet: one.characterSet,
			PatientName: one.name, StudyDescription: one.description,
			ReferringPhysicianName: one.physician, PerformingPhysicianName: one.physician, InstitutionName: one.institution,
			AccessionNumber: "TEXT-1", StudyDate: "20240315", StudyTime: "140000",
			Series: []dicomtest.Series{series("CR", one.description, "CHEST", 1)},
		})
	}
	return studies
}
