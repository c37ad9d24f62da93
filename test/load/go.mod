module dicom-qr-gateway/test/load

go 1.26.0
